"""What each method of suppression is worth in AP, on photographs, crowds of them and crowded synthetic streets."""
