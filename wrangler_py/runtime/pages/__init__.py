"""Pages: functions by the path of their file, static files behind them (Pages docs, "Functions", "Serving Pages")."""
