"""What a program uses: fit, load, results, and what it registers."""
