"""What the flywheel may train from shop. Nothing yet: declare a `Learnable` first."""
