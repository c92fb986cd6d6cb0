"""The console in a browser of this machine: guard, environment, HTTP server and driver."""
