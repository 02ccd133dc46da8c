"""The grove command line: one file per verb."""
