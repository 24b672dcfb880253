"""What `gateway doctor` looks at: each check yields findings, and each finding says what to do."""
