"""What the pages of results have in common, which are made from recorded summaries."""
