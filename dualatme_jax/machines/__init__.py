"""The machine, and several of them: processes, their heartbeat, memory, versions of libraries."""
