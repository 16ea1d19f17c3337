"""Text from outside, as hostile as it comes: no input stops, fools or bends the bot. Every reader
of such text is here, with what showed each fault and with random inputs."""
