"""What engines and verifiers run on: the OpenVINO child process and the HTTP client."""
