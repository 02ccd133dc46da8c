"""Read-only: terminal trees and tables."""
