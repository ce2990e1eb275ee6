"""CloudAssist: run scripts on one server or ten thousand, watch them, stop them."""
