module A
  class B < C
    def self.x?(y)
      1
    end
  end
end
