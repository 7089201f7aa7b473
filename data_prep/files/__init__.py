"""Files of releases: tables, folders, frames and pictures, read with limits; and the cache of a build."""
