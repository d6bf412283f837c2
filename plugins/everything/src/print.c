#include <stdio.h>

/* Prints as a careless C library would. */
void everything_print(void)
{
    printf("printed from C\n");
    fflush(stdout);
}
