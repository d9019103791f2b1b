"""What figures and tables show, computed from rows and artefacts. No torch here."""
