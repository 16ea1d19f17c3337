"""The product in a real browser: its cards as they are read, and whole stories by clicks and by
keyboard on a real sandbox."""
