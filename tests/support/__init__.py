"""What tests share: real servers, and the mesh."""
