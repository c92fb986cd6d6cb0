"""NGINX as the load balancer: its program, its configuration, and the changes to it while it runs."""
