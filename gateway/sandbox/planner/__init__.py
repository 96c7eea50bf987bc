"""The sandbox planner: a stand-in for the school's planning platform, with its JSON door and faults on request."""

from gateway.sandbox.planner.app import DEFAULT_TOKEN, build_planner_app

__all__ = ["DEFAULT_TOKEN", "build_planner_app"]
