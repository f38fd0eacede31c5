"""Where things stand in a text: values, numbers, dates, in whatever notation."""
