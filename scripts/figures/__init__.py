"""A module for each figure, with draw(table, experiment), and what they share. They see tables only."""
