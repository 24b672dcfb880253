"""Routes for load balancers, monitoring and the console before login."""
