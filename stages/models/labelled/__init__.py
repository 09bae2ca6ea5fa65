"""Pictures with truth: what a labelled picture is (`sample`), which classes are told apart (`taxonomy`), and readers.

`open_pictures` opens what a recipe's data entry names; every reader gives the same `Sample`, whatever its labels
looked like on disk.
"""
