"""One module for each kind of target; each has build(settings, downloads, place), which returns a Dataset.
A mixture is built of other targets, and gets these in place of downloads.

settings: the target's entry in the configuration. downloads: the folder in which fetched archives are kept.
place: where the entry stands ("config.yaml: target 'leaves'"), which begins every error message.

Besides, without torch: `catalogue` has the facts about targets of fixed content, `listing` finds the files of image folders.
"""
