"""The companion papers: a module or a folder for each study. Studies import the engine and do not change it."""
