"""How a network grows with the tasks: heads, branches, routes, how alike two tasks are."""
