"""What the flywheel may train from meetings. Nothing yet: declare a `Learnable` first."""
