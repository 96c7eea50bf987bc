"""aSc TimeTables: the school's timetable as an exported XML file."""
