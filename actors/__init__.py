"""An asyncio actor runtime: mailboxes with two lanes, supervision by a pure law, durable actors over any journal."""
