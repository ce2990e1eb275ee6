"""SSH: two engines beneath one seam, and kept connections. The only home of asyncssh and paramiko."""
