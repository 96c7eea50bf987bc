"""Stand-in for the learning portal: Moodle's web-service protocol over recorded or made-up rows."""
