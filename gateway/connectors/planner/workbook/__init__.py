"""The planner as a folder of workbooks: XLSX, XLS, ODS and CSV that teachers and the office keep, read only."""
