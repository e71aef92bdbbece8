"""The host side of PageLab: runs it, collects what it prints, checks its scenarios."""
