"""The configuration: checked, resolved into what jobs are told, and the catalogue of what can be asked for. No torch here."""
