"""The supervisor: starts, monitors and stops the processes of one machine."""
