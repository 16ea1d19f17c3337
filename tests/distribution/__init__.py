"""What is built and handed over: the wheel and the sdist, and where they are installed."""
