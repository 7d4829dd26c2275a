package a.b;
import java.util.*;
/** Doc. */
@Service
public final class Foo<T> extends Bar {
    private int x;

    @Override
    public String toString() {
        return "x";
    }
}
