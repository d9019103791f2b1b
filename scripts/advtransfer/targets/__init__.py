"""One module for each kind of target; each has build(settings, downloads, place), which returns a Dataset.

settings: the target's entry in the configuration. downloads: the folder in which fetched archives are kept.
place: where the entry stands ("config.yaml: target 'leaves'"), which begins every error message.

Besides, without torch: `catalogue` has the facts about targets of fixed content, `listing` finds the files of image folders.
"""
