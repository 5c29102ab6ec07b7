"""Model families: what training and judging need to know of a base, behind one port, `port.Base`."""
