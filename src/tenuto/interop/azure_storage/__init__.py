"""Azure Storage: the one room that imports the packages of Azure, the extra ``azure``.

They are imported when somebody uses them, since that takes a second. Nothing of Tenuto needs an
account there.
"""
