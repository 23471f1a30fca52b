"""What user code imports: the workers, js and pyodide stand-ins."""
