"""How a command line is read, and what is said of it before anything is run."""
