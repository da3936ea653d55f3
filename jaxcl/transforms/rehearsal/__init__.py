"""What is kept of earlier tasks, and the transforms that train on it again."""
