"""What tests share: servers to run against, fakes, clients."""
