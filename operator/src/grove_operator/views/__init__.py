"""Read-only views for a person: terminal trees and tables."""
