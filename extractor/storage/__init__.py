"""Files that survive a kill: append log, resume, manifest, locks, compression, object stores."""
