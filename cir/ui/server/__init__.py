"""What serves the page: the socket, what stands before every request, files, lines to wait in, programs and assistants."""
