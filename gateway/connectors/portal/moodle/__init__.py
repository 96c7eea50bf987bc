"""The Moodle connector: web services over POST forms, read only."""
