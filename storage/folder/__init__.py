"""Files in a folder of this machine: `uploads/` has what is on its way, `files/` what is finished.

Each file is a folder of its own (`info`, `data`) that moves from the one to the other in one
rename. Folders are 0700 and files 0600; 256 subfolders keep each listing short. Several processes
of one machine may share it.
"""

from storage.folder.files import FolderFiles, open_folder_files

__all__ = ["FolderFiles", "open_folder_files"]
