"""The way to the receivers of webhooks, over HTTP. Knows no other adapter."""
