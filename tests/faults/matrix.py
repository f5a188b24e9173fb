def table(outcomes):
    return ""
